// First file of PipelineTests; replaced as the room is furnished.
