"""Syntax tree to typed tree: names resolved, types checked, constants evaluated (spec 6 to 16).

The checker is one class in layers, each in its file and each using those before it:

    base          reporter, scopes, the place in which code stands
    convert       implicit and explicit casts, initialisers, binding of type variables
    resolve       written types
    operators     unary, binary and conditional operators
    expressions   literals, names, members, indices, key sets
    calls         overloads, matching of arguments, inference
    statements    statements and local declarations
    tables        actions and tables
    blocks        parsers and controls
    checker       top-level declarations; `check` is the entry

`model` holds the types, `tree` what comes out, `constant` the arithmetic, `annotations` how to read them.
"""
