"""seqzoo train, as a file."""

import sys

from seqzoo.commands.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
