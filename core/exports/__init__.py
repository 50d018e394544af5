"""Bars and reference data as files: what to export, how it is cut into files, and in which form.

`request` says what is wanted, `formats` writes rows, `files` keeps files out of sight until they are whole,
`run` puts the three together over the rows that `core.stores.export_sql` reads.
"""
