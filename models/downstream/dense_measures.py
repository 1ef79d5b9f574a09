"""What segmentation and detection measure of a tower, and which of it tells towers apart."""

from enum import StrEnum


class SegmentationMeasure(StrEnum):
    """What is measured of each finding in each image; all 0 to 1 but the gains, -1 to 1.

    Dice and IoU of an image without the finding are 1 where nothing is marked, else 0 (MGCA).
    """

    DICE = "dice"
    IOU = "iou"
    SHOWN_DICE = "shown_dice"  # of the images that show the finding alone
    UNTRAINED_DICE = "untrained_dice"
    UNTRAINED_IOU = "untrained_iou"
    UNTRAINED_SHOWN_DICE = "untrained_shown_dice"
    DICE_GAIN = "dice_gain"  # over the untrained tower, image by image
    SHOWN_DICE_GAIN = "shown_dice_gain"


class DetectionMeasure(StrEnum):
    """Average precision of a finding over all images; 0 to 1 but the gains, -1 to 1.

    Its mean over findings is the mAP.
    """

    MGCA = "ap_40_75"  # mean over IoU 0.40 to 0.75 in steps of 0.05
    COCO = "ap_50_95"
    UNTRAINED_MGCA = "untrained_ap_40_75"
    UNTRAINED_COCO = "untrained_ap_50_95"
    MGCA_GAIN = "ap_40_75_gain"  # over the untrained tower, on the same resamples
    COCO_GAIN = "ap_50_95_gain"


# The higher, the better the pre-training; the untrained tower's figures are the same for all.
SEGMENTATION_JUDGED = tuple(one for one in SegmentationMeasure if "untrained" not in one)
DETECTION_JUDGED = tuple(one for one in DetectionMeasure if "untrained" not in one)
