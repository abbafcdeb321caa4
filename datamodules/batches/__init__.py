"""What a training batch is: its rows by step, its holes, its randomness."""
