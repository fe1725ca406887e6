"""seqzoo evaluate, as a file."""

import sys

from seqzoo.commands.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
