"""Where each packet's samples lie on the call's clock."""
