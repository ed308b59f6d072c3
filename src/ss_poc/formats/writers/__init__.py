"""Writers: each a file with one function from images and regions to the label files of a format."""
