"""What every stage needs: settings, errors, files between the stages, images, masks."""
