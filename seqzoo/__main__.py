"""`python -m seqzoo` is `seqzoo`."""

from seqzoo.commands.main import main

if __name__ == "__main__":
    main()
