//! Polygons and run lengths of class maps, and the files of other programs that hold them.
