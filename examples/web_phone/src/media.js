// Microphone and camera.

export const stop = (stream) => stream && stream.getTracks().forEach((track) => track.stop());

// A stream of both, or of sound alone where there is no camera, or none that may be used.
export const open = async (video) => {
  if (!navigator.mediaDevices) throw new Error("the browser gives microphones to pages of https or of this machine only");
  if (video) {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    } catch {
      // Sound may do; if the microphone is the one that is missing, the next line says so.
    }
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true, video: false });
  } catch (error) {
    throw new Error(
      error.name === "NotAllowedError" ? "the browser may not use the microphone" : "there is no microphone that works",
    );
  }
};
