"""The content-addressed store: blobs and trees under SHA-256, and slots that are claimed once.

Read ``store`` first: it has the interface and the backend in a folder; ``s3_store`` is the one on
S3. ``admission`` says what a store takes in, ``tree`` is a folder in it, and ``documents`` are the
slots.
"""
