"""The weakly supervised stage: contrast over pairs, while the mask opens."""
