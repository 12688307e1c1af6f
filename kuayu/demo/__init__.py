"""The demonstration: a region of four nodes on one machine, with simulated offices and applicants."""

from kuayu.demo.demo import run_demo

__all__ = ["run_demo"]
