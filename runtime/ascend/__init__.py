"""What Ascend's TensorFlow adapter wants: its environment, its rank tables, its signatures."""
