"""Gates: files of unknown origin are opened here, and refused before memory is allocated for what they claim.

Each format has one gate, which accepts what this project, or the library named there, writes, and refuses the rest:
`json_files`, `zips` (and `quantilizers.arrays` for the npz among them), `hdf5` and `compressed`. All begin with
`regular_files`.
"""
