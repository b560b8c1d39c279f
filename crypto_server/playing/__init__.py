"""Playing recordings to permitted listeners: from a play path to pieces of checked plaintext.

In the order of things: `routes` and `play_request` (HTTP), `player` (tenant, key, conditions),
`content` (papers), `ends`, `plan` and `section` (which stored bytes make a part, and whether they
may leave), `stored_bytes` and `ahead` (their way here), `playback` (all of it, piece by piece).
"""
