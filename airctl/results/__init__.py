"""What a command found out, as plain values that can be written, read and drawn without a model."""
