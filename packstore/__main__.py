"""Run the command line: `python -m packstore`."""

from packstore.cli.main import main

if __name__ == "__main__":
    main()
