"""Augmentation, losses, teachers and the training loops."""
