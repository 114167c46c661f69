"""The gate's first check: do teachers and a student fit together by their records?

``collect`` finds what ``checks`` compares; ``sketch`` gives the overlap of two data sets without
the data.
"""
