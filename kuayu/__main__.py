"""`python -m kuayu` is `kuayu`."""

from kuayu.cli import run

if __name__ == "__main__":
    run()
