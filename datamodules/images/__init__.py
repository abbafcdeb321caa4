"""What data sets of images, classes and pairs share: their files, packed arrays, parts."""
