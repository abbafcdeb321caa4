"""What the face data sets share: their files, how a face is read and packed, splits, captions."""
