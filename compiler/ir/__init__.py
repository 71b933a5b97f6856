"""Typed tree to IR: every instance made, every body lowered (spec 8.1, 12, 18).

`types` and `nodes` are the IR itself, the contract with the back ends; `verify` checks its rules and
`text` prints it. It is made by one class in layers, each in its file:

    unit               what one compilation and one instance know
    convert            semantic types to IR types
    access             which storage expressions and actions touch
    lower_expressions  pure expressions, effects hoisted in order
    lower_calls        arguments, copies where aliasing could be seen, externs
    lower_statements   statements
    lower_tables       actions and tables
    elaborate          instances from `main`; `elaborate` is the entry
    live               what is left for the control plane
"""
