"""What is measured, how, and against which baselines. Nothing here passes or fails inside the test suite."""
