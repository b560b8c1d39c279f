"""The far end: calls that carry their own proof, and the check that finds it in what was stored.

Placing: scenario → offers → placed_call, with the media in a process of its own. Proving: decode →
acquire → track → measure → check. Between the two stands only the signature.
"""
