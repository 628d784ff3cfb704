"""How good a model and its features are: accuracy on labelled images, probes without fine-tuning."""
