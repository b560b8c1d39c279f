"""The whole lab, from a SIP call to what a listener hears."""
