"""Where data are and how bytes are read: locations, downloads, formats, pictures; what they mean is in `files`."""
