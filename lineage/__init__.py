"""What came from what, and is it still true. No Flyte, no torch.

One authority: append-only, digest-keyed records in a content-addressed store. MLflow is a view of
them. Read in this order; each module says the rest.

    store      blobs, trees and slots that are claimed once: a folder, or S3 (s3_store)
    journal    signed statements (statement, dsse), and the trust root by which they count
    record     a derivation is an identity, an attestation is what happened
    artifacts  the manifests that people exchange: releases and students
    registry   names, versions, aliases; valid_recalls says which recalls count
    rules      what a release, a student, a scorecard ... must rest on
    graph      ancestors, descendants, paths; diff, recall and verify ask it and the store
    mirror     all of it in MLflow; picture and page for the eye; export for other tools
"""
