"""Released teachers become one student."""
