"""Quality: every followed day is proven complete, explained, or red."""
