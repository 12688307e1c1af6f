"""`python -m kuayu` is `kuayu`."""

from kuayu.cli import app

if __name__ == "__main__":
    app()
