-- CreateTable
CREATE TABLE "upload_probe" (
    "backend_id" UUID NOT NULL,
    "next_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "upload_probe_pkey" PRIMARY KEY ("backend_id")
);
