"""How a reclab service starts: settings, sockets, accounts, logs and its end."""
