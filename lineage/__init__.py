"""What came from what, and whether it is still true. No Flyte, no torch.

One authority: append-only, digest-keyed records in a content-addressed store. MLflow is a view of
them. Each part imports only parts above it in this list. Read them in this order:

    errors, digest, dsse   the ground floor: errors by name, hashes, signed envelopes
    frozen                 base of stored documents; older names of fields are read too
    store                  blobs, trees and slots that are claimed once: a folder, or S3
    artifacts              the manifests that people exchange: releases and students
    wheels                 the lock of the packages that an environment needs
    trust                  signed statements, and the trust root by which they count
    records                a derivation is an identity, an attestation is what happened
    registry               names, versions, aliases, and which recalls count
    graph                  ancestors, descendants, paths, differences
    compatibility          whether teachers and a student fit together by their records
    export                 a model and its history for other tools
    launches               launches of consolidations, their approvals and waivers
    rules                  what a release, a student, a scorecard ... must rest on
    operations             verify, recall, promote, adopt, collect garbage
    view                   pictures, pages and summaries for people
    mirror                 all of it in MLflow
    doctor                 checks of the store, its keys and the tracking server
"""
