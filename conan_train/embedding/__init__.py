"""The stages that train vectors: weakly supervised on pairs, then fine-tuned on tasks."""
