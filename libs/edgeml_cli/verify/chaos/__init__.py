"""Seeded faults against the whole deployed pipeline, and a comparison with what ought to have come out: `edgeml dev chaos`.

plan      which faults come when                    expected  what ought to come out, by the pure parts
machines  what is measured                          judge     promises against what was seen
watch     what passed the nucleus                   seed      one run, a process of its own
broken    a third error leaves a component BROKEN   place     a nucleus's root with the components' packages in it
"""
