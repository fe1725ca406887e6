"""A page in the browser for trained models. A run has the parts of the page that its task has the capabilities for."""
