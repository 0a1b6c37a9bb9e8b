"""The sandbox's made-up people: who they are (``person``), the hard cases among them (``cases``), and their rows.

One file per schema of the company makes a person's rows there. Everything follows from a seed, a day and a position,
so that anybody can be made without the others, in any order. Values are valid (ID numbers, credit codes, phones,
cards) and of nobody: area codes and phone ranges are real, the rest is drawn.
"""
