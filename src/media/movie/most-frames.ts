/** A day of video; lists of frames take some hundred bytes a frame. */
export const MOST_FRAMES = 2 ** 21;
