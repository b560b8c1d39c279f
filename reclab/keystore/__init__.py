"""``reclab keystore``: the whole keystore, through a crypto server or in its folder."""
