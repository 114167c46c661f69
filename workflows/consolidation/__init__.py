"""Released teachers become one student. Read ``workflow`` first, then ``stages``, its wiring."""
