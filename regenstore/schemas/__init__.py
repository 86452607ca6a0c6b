"""What is written as JSON, as models: each tells its fields, checks a record, and gives its JSON Schema.

Only where records are read or checked: nothing that Git calls imports this.
"""
