"""The model: encoders, backbones and the modules that heads are built from; losses and decoding are in `tasks`."""
