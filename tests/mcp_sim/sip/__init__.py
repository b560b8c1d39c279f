"""Tests of the signalling: grammar, transactions, dialogs, the agent, and the bodies it carries."""
