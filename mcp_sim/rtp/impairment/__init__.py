"""What a leg of the load generator does wrong on purpose: loss, jitter, drift and their like.

Pure: what happens to the n-th packet of a leg is a function of the seed, the call's identity, the
leg and n. No sockets, no clock. Nothing is ever sent before its time, and nothing is invented.
"""

from mcp_sim.rtp.impairment.impairment import Impairment, ImpairmentError

__all__ = ["Impairment", "ImpairmentError"]
